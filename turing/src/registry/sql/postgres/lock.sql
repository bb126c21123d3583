-- programs that register postings at the same time wait for one another
LOCK TABLE "{schema}".assigned_postings IN SHARE ROW EXCLUSIVE MODE
