"""The stand-in phone system: the documented HTTP dialog API, pushed events and audio sockets, with people behind them."""
