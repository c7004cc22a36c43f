export const KNN_METRICS = ['cosine', 'euclidean'] as const;

/** `cosine`: between features of length 1, as in DINO. `euclidean`: between the features as they are. */
export type KnnMetric = (typeof KNN_METRICS)[number];
