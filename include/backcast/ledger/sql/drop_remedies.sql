-- So that the same transaction can decide once more.
DROP TABLE remedies;
