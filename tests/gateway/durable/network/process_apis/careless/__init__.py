"""A process API whose workflow has a step that must not be one."""
