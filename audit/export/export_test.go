package export

// SetLimit makes segments end earlier than usual.
func (w *Writer) SetLimit(bytes int64) { w.limit = bytes }

var (
	Encode = encode
	Decode = decode
)

// SegmentHeaderSize is where the first record of a segment begins.
const SegmentHeaderSize = segmentHeaderSize
