-- a schema cookie to begin with: far from those that begin at 1, and most likely from every other
SELECT 16777216 + (random() & 1073741823)
