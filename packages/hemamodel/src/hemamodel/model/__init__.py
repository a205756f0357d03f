"""The model, one idea a file: backbone, neck, encoder, query selection, decoder, denoising, heads, text, fusion."""
