"""Savers and stores: batches, fences, encryption, the types of saved state."""
