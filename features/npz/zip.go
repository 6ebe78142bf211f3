package npz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/collapsar/collapsar/internal/array"
)

// The parts of a zip file read here, all little-endian: a local header before the data of each
// entry, then the directory with one record an entry, then the end record. An archive that
// exceeds 32 bits has a second, wider end record and a locator of it before the first.
const (
	localMagic   = "PK\x03\x04"
	entryMagic   = "PK\x01\x02"
	endMagic     = "PK\x05\x06"
	end64Magic   = "PK\x06\x06"
	locatorMagic = "PK\x06\x07"

	localLen, entryLen, endLen, end64Len, locatorLen = 30, 46, 22, 56, 20

	maxEntries   = 4096
	maxDirectory = 4 << 20

	flagEncrypted, flagDescriptor, flagStrong = 1, 8, 0x2040
	methodStore, methodDeflate                = 0, 8
)

// entry is one file of the archive, as the directory has it and its local header confirms it.
type entry struct {
	name                string
	flags, method       uint16
	crc                 uint32
	compressed, size    int64
	header, data, limit int64 // where the local header and the data begin, and where the data end
}

func malformed(name, format string, args ...any) error {
	return array.Errorf(array.Malformed, name, format, args...)
}

// readZip reads the directory and checks it: against the size of the file, and against every
// local header. No entry overlaps another.
func readZip(r io.ReaderAt, size int64) ([]entry, error) {
	var start [4]byte
	if err := array.ReadFull(r, start[:], 0); err != nil {
		return nil, err
	}
	switch string(start[:]) {
	case localMagic:
	case endMagic:
		return nil, array.Errorf(array.Empty, "", "an archive without arrays")
	default:
		return nil, malformed("", "begins with %q, expected a zip archive", start)
	}
	count, offset, length, err := readEnd(r, size)
	if err != nil {
		return nil, err
	}
	dir := make([]byte, length)
	if err := array.ReadFull(r, dir, offset); err != nil {
		return nil, err
	}
	entries := make([]entry, 0, count)
	names := make(map[string]bool, count)
	for len(dir) > 0 {
		e, n, err := readEntry(dir)
		if err != nil {
			return nil, err
		}
		dir = dir[n:]
		if names[e.name] {
			return nil, malformed(e.name, "two entries of this name")
		}
		names[e.name] = true
		if err := e.locate(r, offset); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if len(entries) != count {
		return nil, malformed("", "the directory has %d entries, %d were declared", len(entries), count)
	}
	byPlace := append([]entry(nil), entries...)
	sort.Slice(byPlace, func(i, j int) bool { return byPlace[i].header < byPlace[j].header })
	for i := range byPlace[1:] {
		if a, b := byPlace[i], byPlace[i+1]; b.header < a.limit {
			return nil, malformed(b.name, "overlaps %s", a.name)
		}
	}
	return entries, nil
}

// readEnd finds the end record and says how many entries the directory has and where it lies.
func readEnd(r io.ReaderAt, size int64) (count int, offset, length int64, err error) {
	tail := make([]byte, min(size, endLen+1<<16))
	if err := array.ReadFull(r, tail, size-int64(len(tail))); err != nil {
		return 0, 0, 0, err
	}
	at := -1 // of the end record: its comment goes up to the end of the file
	for i := len(tail) - endLen; i >= 0; i-- {
		if string(tail[i:i+4]) == endMagic && int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail)-i-endLen {
			at = i
			break
		}
	}
	if at < 0 {
		return 0, 0, 0, array.Errorf(array.Truncated, "", "no end of a zip archive: the file is cut short, or bytes follow it")
	}
	end := tail[at:]
	place := size - int64(len(end)) // where the directory has to end
	disk, dirDisk := binary.LittleEndian.Uint16(end[4:]), binary.LittleEndian.Uint16(end[6:])
	here, all := uint64(binary.LittleEndian.Uint16(end[8:])), uint64(binary.LittleEndian.Uint16(end[10:]))
	length64, offset64 := uint64(binary.LittleEndian.Uint32(end[12:])), uint64(binary.LittleEndian.Uint32(end[16:]))

	if at >= locatorLen && string(tail[at-locatorLen:at-locatorLen+4]) == locatorMagic {
		where := binary.LittleEndian.Uint64(tail[at-locatorLen+8:])
		if where > uint64(place) || int64(where) != place-locatorLen-end64Len {
			return 0, 0, 0, malformed("", "the ZIP64 end record is not where it should be")
		}
		wide := make([]byte, end64Len)
		if err := array.ReadFull(r, wide, int64(where)); err != nil {
			return 0, 0, 0, err
		}
		if string(wide[:4]) != end64Magic || binary.LittleEndian.Uint64(wide[4:]) != end64Len-12 {
			return 0, 0, 0, malformed("", "the ZIP64 end record is damaged")
		}
		disk, dirDisk = uint16(binary.LittleEndian.Uint32(wide[16:])), uint16(binary.LittleEndian.Uint32(wide[20:]))
		here, all = binary.LittleEndian.Uint64(wide[24:]), binary.LittleEndian.Uint64(wide[32:])
		length64, offset64 = binary.LittleEndian.Uint64(wide[40:]), binary.LittleEndian.Uint64(wide[48:])
		place = int64(where)
	}
	switch {
	case disk != 0 || dirDisk != 0 || here != all:
		return 0, 0, 0, array.Errorf(array.Unsupported, "", "an archive in several parts")
	case all > maxEntries:
		return 0, 0, 0, array.Errorf(array.TooLarge, "", "%d entries, at most %d are read", all, maxEntries)
	case length64 > maxDirectory:
		return 0, 0, 0, array.Errorf(array.TooLarge, "", "a directory of %d bytes, at most %d are read", length64, maxDirectory)
	case length64 > uint64(place) || offset64 != uint64(place)-length64:
		return 0, 0, 0, malformed("", "the directory is declared at byte %d with %d bytes, the end record is at %d", offset64, length64, place)
	case all == 0:
		return 0, 0, 0, array.Errorf(array.Empty, "", "an archive without arrays")
	}
	return int(all), int64(offset64), int64(length64), nil
}

// readEntry reads one record of the directory and returns its length.
func readEntry(dir []byte) (e entry, n int, err error) {
	if len(dir) < entryLen || string(dir[:4]) != entryMagic {
		return e, 0, malformed("", "the directory is damaged")
	}
	nameLen, extraLen, commentLen := int(binary.LittleEndian.Uint16(dir[28:])), int(binary.LittleEndian.Uint16(dir[30:])), int(binary.LittleEndian.Uint16(dir[32:]))
	n = entryLen + nameLen + extraLen + commentLen
	if n > len(dir) {
		return e, 0, malformed("", "the directory ends inside an entry")
	}
	e = entry{
		name:   string(dir[entryLen : entryLen+nameLen]),
		flags:  binary.LittleEndian.Uint16(dir[8:]),
		method: binary.LittleEndian.Uint16(dir[10:]),
		crc:    binary.LittleEndian.Uint32(dir[16:]),
	}
	if e.name == "" || !utf8.ValidString(e.name) || strings.ContainsFunc(e.name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return e, 0, malformed("", "an entry with the name %q", e.name)
	}
	sizes := []uint64{ // in the order in which the ZIP64 field replaces them
		uint64(binary.LittleEndian.Uint32(dir[24:])),
		uint64(binary.LittleEndian.Uint32(dir[20:])),
		uint64(binary.LittleEndian.Uint32(dir[42:])),
	}
	if err := widen(sizes, dir[entryLen+nameLen:entryLen+nameLen+extraLen]); err != nil {
		return e, 0, malformed(e.name, "%v", err)
	}
	for _, v := range sizes {
		if v > 1<<62 {
			return e, 0, malformed(e.name, "a size of %d bytes", v)
		}
	}
	e.size, e.compressed, e.header = int64(sizes[0]), int64(sizes[1]), int64(sizes[2])
	switch {
	case binary.LittleEndian.Uint16(dir[34:]) != 0:
		return e, 0, array.Errorf(array.Unsupported, e.name, "an archive in several parts")
	case e.flags&(flagEncrypted|flagStrong) != 0:
		return e, 0, array.Errorf(array.Unsupported, e.name, "encrypted")
	case e.method != methodStore && e.method != methodDeflate:
		return e, 0, array.Errorf(array.Unsupported, e.name, "compression method %d, known are 0 (stored) and 8 (deflated)", e.method)
	case e.method == methodStore && e.size != e.compressed:
		return e, 0, malformed(e.name, "stored, yet %d bytes are declared to take %d", e.size, e.compressed)
	case e.method == methodDeflate && e.size/1032 > e.compressed:
		return e, 0, malformed(e.name, "%d deflated bytes cannot hold the %d that are declared", e.compressed, e.size)
	}
	return e, n, nil
}

// widen replaces the sizes that are 2^32-1 by those of the ZIP64 field among the extra fields.
func widen(sizes []uint64, extra []byte) error {
	var field []byte
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return fmt.Errorf("the extra fields are damaged")
		}
		if id == 1 {
			field = extra[4 : 4+n]
			break
		}
		extra = extra[4+n:]
	}
	for i := range sizes {
		if sizes[i] != 1<<32-1 {
			continue
		}
		if len(field) < 8 {
			return fmt.Errorf("a size is missing: the ZIP64 field is too short")
		}
		sizes[i], field = binary.LittleEndian.Uint64(field), field[8:]
	}
	return nil
}

// locate finds the data behind the local header, which has to agree with the directory.
func (e *entry) locate(r io.ReaderAt, directory int64) error {
	if e.header > directory-localLen {
		return malformed(e.name, "its data are declared at byte %d, inside or after the directory", e.header)
	}
	var h [localLen]byte
	if err := array.ReadFull(r, h[:], e.header); err != nil {
		return err
	}
	if string(h[:4]) != localMagic {
		return malformed(e.name, "no local header at byte %d", e.header)
	}
	nameLen, extraLen := int64(binary.LittleEndian.Uint16(h[26:])), int64(binary.LittleEndian.Uint16(h[28:]))
	e.data = e.header + localLen + nameLen + extraLen
	e.limit = e.data + e.compressed
	if e.limit > directory { // cannot overflow: sizes are at most 2^62, headers lie in the file
		return malformed(e.name, "%d bytes of data at byte %d go beyond the directory at %d", e.compressed, e.data, directory)
	}
	rest := make([]byte, nameLen+extraLen)
	if err := array.ReadFull(r, rest, e.header+localLen); err != nil {
		return err
	}
	if !bytes.Equal(rest[:nameLen], []byte(e.name)) {
		return malformed(e.name, "the local header has the name %q", rest[:min(nameLen, 64)])
	}
	if method := binary.LittleEndian.Uint16(h[8:]); method != e.method {
		return malformed(e.name, "method %d in the directory, %d in the local header", e.method, method)
	}
	flags := binary.LittleEndian.Uint16(h[6:])
	if (flags^e.flags)&(flagEncrypted|flagStrong|flagDescriptor) != 0 {
		return malformed(e.name, "flags %#x in the directory, %#x in the local header", e.flags, flags)
	}
	crc := binary.LittleEndian.Uint32(h[14:])
	sizes := []uint64{uint64(binary.LittleEndian.Uint32(h[22:])), uint64(binary.LittleEndian.Uint32(h[18:]))}
	if err := widen(sizes, rest[nameLen:]); err != nil {
		return malformed(e.name, "%v", err)
	}
	if flags&flagDescriptor != 0 && crc == 0 && sizes[0] == 0 && sizes[1] == 0 {
		return nil // they follow the data, and the directory has them
	}
	if crc != e.crc || sizes[0] != uint64(e.size) || sizes[1] != uint64(e.compressed) {
		return malformed(e.name, "check sum or sizes differ between the directory and the local header")
	}
	return nil
}
