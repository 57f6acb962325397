"""A live venue: its sockets, its REST interface, and the process around them."""
