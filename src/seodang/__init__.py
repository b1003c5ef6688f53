"""Seodang: from instruction data to an instruction-tuned adapter."""
