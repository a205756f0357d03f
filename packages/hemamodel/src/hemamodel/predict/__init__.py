"""Using a trained model: what it sees in pictures, in their own pixels."""
