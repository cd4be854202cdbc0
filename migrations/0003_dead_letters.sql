-- Dead deliveries are counted every few seconds, and delivered ones are kept beside them for a week.
CREATE INDEX delivery_dead ON delivery (receiver, message) WHERE state = 'dead';
