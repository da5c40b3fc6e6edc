"""Predictors where clouds hid them: linear in time between dates, or by penalised least squares in space and time."""
