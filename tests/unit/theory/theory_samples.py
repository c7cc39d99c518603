"""Small files of theories that several tests start from."""

GLUINO = """\
# a simplified theory
BLOCK SPINFO  # program
    1   someone
BLOCK MASS  # masses in GeV
   1000021  2.0000E+03  # gluino
   1000022  0.0         # lightest neutralino
DECAY 1000021 1.0  # gluino
    0.25  3  1000022  1  -1
    0.25  3  1000022  2  -2
    0.25  3  1000022  3  -3
    0.25  3  1000022  4  -4
DECAY 1000022 0.0
"""
