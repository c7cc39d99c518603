// Draws the figure that the page brings along; a click on a point opens its run.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("figure");
  const area = document.getElementById("plot");
  const figure = JSON.parse(source.textContent);
  Plotly.newPlot(area, figure.data, figure.layout, { responsive: true, displaylogo: false }).then(() => {
    area.on("plotly_click", (event) => {
      const run = event.points[0].customdata;
      if (run) window.location.assign(source.dataset.runs + encodeURIComponent(run));
    });
  });
});
