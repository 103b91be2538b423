-- So that the same transaction can reserve once more.
DROP TABLE reservations;
