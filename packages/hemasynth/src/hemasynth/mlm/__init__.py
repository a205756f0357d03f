"""Masked sentences on fields of LeukemiaAttri: facts per field, plan, sentences, masks."""
