module dev/pause

go 1.26
