"""The limit for waiting: long enough for any busy machine, so that it ends only a test that hangs."""

LONGEST_WAIT_S = 3600
