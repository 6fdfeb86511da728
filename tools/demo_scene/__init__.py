"""The still life of the built-in demo capture: procedural textures, meshes and the Mitsuba scene."""
