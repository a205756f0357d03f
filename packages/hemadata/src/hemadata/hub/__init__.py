"""Publishing a corpus: views by licence, the card, recipes for what may not be passed on, and the way to the Hub."""
