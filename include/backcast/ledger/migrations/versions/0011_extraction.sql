-- Documents come from folders and object stores, too, and may be PDFs; what is extracted of them are rows.
ALTER TABLE runs ADD COLUMN source text NOT NULL DEFAULT 'git' CHECK (source IN ('git', 'folder', 'object_store'));
ALTER TABLE contents ADD COLUMN pdf bytea;
CREATE INDEX documents_by_result ON documents (result_id) WHERE result_id IS NOT NULL;
CREATE TABLE extracted_rows (
    run_id bigint NOT NULL REFERENCES runs,
    document_id bigint NOT NULL REFERENCES documents,
    position integer NOT NULL CHECK (position > 0),
    "row" jsonb NOT NULL,
    verified boolean NOT NULL,
    PRIMARY KEY (run_id, document_id, position)
);
