"""An interrupt while an environment is being built: nobody waits for pip."""

from __future__ import annotations

import signal
import socket

from waiting import alive, wait_until_gone


def test_an_interrupt_does_not_wait_for_a_build(recast, write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        index = f"http://127.0.0.1:{never_answers.getsockname()[1]}/simple"
        write("slow.lock", f"--index-url {index}\nnothing==1.0 --hash=sha256:{'0' * 64}\n")
        write(
            "w.yml",
            "stages:\n- name: a\n  scheduler:\n    scheduler_type: singlestep-stage\n    parameters: {}\n    step:\n"
            "      process: {process_type: string-interpolated-cmd, cmd: 'true'}\n"
            "      environment: {environment_type: docker-encapsulated, image: plain}\n"
            "      publisher: {publisher_type: constant-pub, publish: {}}\n",
        )
        process = recast.start("run", "w.yml", "--stand-in", "plain:latest=slow.lock")
        never_answers.settimeout(120)
        connection, _ = never_answers.accept()  # pip asks, and waits
        with connection:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=45)  # pip alone would try again for longer than that
    assert process.returncode == 130
    assert "recast run --resume" in err
    assert "Traceback" not in err
    wait_until_gone(recast.home)
    assert not alive(recast.home)
