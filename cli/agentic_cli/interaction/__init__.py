"""Following, watching, prompting and answering."""
