"""A venue that is made up: what Binance does not do, so that the contract is proven by use."""
