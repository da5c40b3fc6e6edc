"""The tables and figures of a paper, made anew beside the printed values; see `zoo.reproduce.run.reproduce`."""
