module upgrade-gate/test/bench

go 1.19
