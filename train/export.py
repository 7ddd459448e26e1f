def finish(*a):
    raise SystemExit("export not there yet")
