INSERT INTO by_hand (data) VALUES (?1)
