CREATE DATABASE {name}
TEMPLATE {template} ENCODING 'UTF8' {strategy}
