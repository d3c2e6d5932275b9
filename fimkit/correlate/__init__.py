"""Floor 3: joins the changes of three sources into findings. Pure."""
