"""An exchange on loopback that speaks a venue's protocol and knows the true book."""
