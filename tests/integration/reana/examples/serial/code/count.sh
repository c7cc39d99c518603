#!/bin/sh
i=0
while [ $i -lt "$2" ]; do echo "$1"; i=$((i + 1)); done
echo "counted to $2" >&2
