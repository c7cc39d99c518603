// The little that pages do by themselves; everything works without it.
"use strict";
document.addEventListener("change", (event) => {
  // Whoever fills in a part of the form means that part.
  const way = event.target.dataset && event.target.dataset.picks;
  if (way) {
    const radio = document.querySelector(`input[name=theory][value=${way}]`);
    if (radio) radio.checked = true;
  }
  if (event.target.id === "template") showScan();
});
function showScan() {
  // Only the axes of the scan that is chosen.
  const chosen = document.getElementById("template");
  if (!chosen) return;
  for (const part of document.querySelectorAll("[data-scan]")) part.hidden = part.dataset.scan !== chosen.value;
}
function toEnd() {
  // A log that grows is read at its end.
  const log = document.querySelector("pre.tall[role=log]");
  if (log && log.querySelector("[hx-get]")) log.scrollTop = log.scrollHeight;
}
document.addEventListener("DOMContentLoaded", () => { showScan(); toEnd(); });
document.addEventListener("htmx:after:swap", toEnd);
