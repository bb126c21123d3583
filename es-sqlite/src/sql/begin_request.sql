-- one request among several in a transaction
SAVEPOINT request
