"""The pipeline from Python: functions, what their callers give, and errors in a caller's words."""
