/** The file of the local authority's certificate in the data folder: the only one there that anybody may read. */
export const LOCAL_AUTHORITY_FILE = 'local-authority.pem'

/** The file of the sealed root key in the data folder. */
export const SEAL_FILE = 'seal.jwe'
