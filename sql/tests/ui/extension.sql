CREATE VIRTUAL TABLE vectors USING vec0(embedding);
