-- takes the write lock at once, so that what is read is what is written upon
BEGIN IMMEDIATE
