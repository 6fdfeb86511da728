"""Photos in, a scene you can walk through out, on the computer you have."""
