UPDATE "{schema}".cutovers SET old_table = NULL
