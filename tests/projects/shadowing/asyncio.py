raise RuntimeError("took the place of the standard library")
