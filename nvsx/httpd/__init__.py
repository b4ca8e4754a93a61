"""The door to HTTP: a bounded server of the standard library, for whatever nvsx lets others ask it."""
