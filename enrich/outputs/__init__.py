"""What a command leaves: files whole or not there, left alone where they stand, held back where they would say less."""
