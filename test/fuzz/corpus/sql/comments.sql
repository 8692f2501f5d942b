-- x
SHOW /* y */ PROC '/statistic' /*+ z */; -- end