-- What contents say to the model that no document has to say is kept with them, so that each is searched once.
CREATE TABLE addressings (
    content_hash text PRIMARY KEY REFERENCES contents,
    -- By which search; another one finds something else.
    searched_by text NOT NULL,
    line integer CHECK (line > 0),
    what text,
    CHECK ((line IS NULL) = (what IS NULL))
);
