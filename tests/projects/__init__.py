"""Small projects, one for each kind of layout, state, factory and configuration that people have."""
