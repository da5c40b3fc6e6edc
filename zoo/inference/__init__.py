"""Compiled models at work: sessions, devices, certificates, and predictors that are missing."""
