package npz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/collapsar/collapsar/internal/array"
	"github.com/collapsar/collapsar/internal/formattest"
)

var format = formattest.Format{Name: "npz", Sniff: Sniff, Open: Open}

func TestFormat(t *testing.T) {
	var all []formattest.Array
	for _, dtype := range formattest.Types {
		if dtype != array.BFloat16 { // the format has none
			all = append(all, formattest.Matrix("features/"+dtype.String(), dtype, 13, 4))
		}
	}
	all = append(all, formattest.Vector("labels", array.Int64, 13))
	large := []formattest.Array{formattest.Matrix("features", array.Float32, 20_000, 20), formattest.Vector("labels", array.Uint8, 20_000)}
	turned := formattest.Matrix("features", array.Float64, 37, 5)
	for _, c := range []formattest.Case{
		{Name: "stored", Data: formattest.NPZ(false, all...), Arrays: all},
		{Name: "deflated", Data: formattest.NPZ(true, all...), Arrays: all},
		{Name: "stored, large", Data: formattest.NPZ(false, large...), Arrays: large},
		{Name: "deflated, large", Data: formattest.NPZ(true, large...), Arrays: large},
		{Name: "deflated Fortran", Data: formattest.Zip(formattest.Entry{Name: "features.npy", Data: formattest.NPY(turned, true, true), Deflate: true}), Arrays: []formattest.Array{turned}},
		{Name: "ZIP64", Data: zip64(formattest.NPZ(false, turned)), Arrays: []formattest.Array{turned}},
		{Name: "folder", Data: formattest.Zip(formattest.Entry{Name: "a.npy", Data: formattest.NPY(turned, false, false)}, formattest.Entry{Name: "features/"}), Arrays: []formattest.Array{renamed(turned, "a")}},
	} {
		c.Random = true
		formattest.Run(t, format, c)
	}
	// Streams, for which the budget leaves nothing to keep.
	streams := format
	streams.Open = func(r io.ReaderAt, size int64, o array.Options) (array.File, error) {
		f, err := Open(r, size, o)
		if err == nil {
			f.(*file).keep = 0
		}
		return f, err
	}
	for _, c := range []formattest.Case{
		{Name: "stream", Data: formattest.NPZ(true, all...), Arrays: all},
		{Name: "stream, large", Data: formattest.NPZ(true, large...), Arrays: large},
	} {
		formattest.Run(t, streams, c)
	}
}

func renamed(a formattest.Array, name string) formattest.Array {
	a.Name = name
	return a
}

// zip64 gives an archive of one entry the wide form of its directory and end record.
func zip64(file []byte) []byte {
	end := len(file) - endLen
	dir := int(binary.LittleEndian.Uint32(file[end+16:]))
	rec := append([]byte(nil), file[dir:end]...)
	var field []byte
	field = binary.LittleEndian.AppendUint16(field, 1)
	field = binary.LittleEndian.AppendUint16(field, 24)
	for _, at := range []int{24, 20, 42} {
		field = binary.LittleEndian.AppendUint64(field, uint64(binary.LittleEndian.Uint32(rec[at:])))
		binary.LittleEndian.PutUint32(rec[at:], 1<<32-1)
	}
	binary.LittleEndian.PutUint16(rec[30:], uint16(len(field)))
	rec = append(rec, field...)
	out := append(append([]byte(nil), file[:dir]...), rec...)
	wide := len(out)
	out = append(out, end64Magic...)
	out = binary.LittleEndian.AppendUint64(out, end64Len-12)
	out = append(out, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range []int{1, 1, len(rec), dir} {
		out = binary.LittleEndian.AppendUint64(out, uint64(v))
	}
	out = append(out, locatorMagic+"\x00\x00\x00\x00"...)
	out = binary.LittleEndian.AppendUint64(out, uint64(wide))
	out = append(out, 1, 0, 0, 0)
	out = append(out, endMagic+"\x00\x00\x00\x00\xff\xff\xff\xff"...)
	out = binary.LittleEndian.AppendUint64(out, 1<<64-1)
	return append(out, 0, 0)
}

func one(name string, data []byte) []byte {
	return formattest.Zip(formattest.Entry{Name: name, Data: data})
}

// edit changes bytes of a copy: at an offset from the begin of the first occurrence of mark.
func edit(file []byte, mark string, offset int, to ...byte) []byte {
	b := append([]byte(nil), file...)
	copy(b[bytes.Index(b, []byte(mark))+offset:], to)
	return b
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

type badFile struct {
	data []byte
	want string
}

// Every bad file with the words of its refusal.
func badFiles() map[string]badFile {
	npy := formattest.NPY(formattest.Matrix("", array.Float32, 3, 2), false, false)
	good := one("features.npy", npy)
	both := formattest.Zip(formattest.Entry{Name: "a.npy", Data: npy}, formattest.Entry{Name: "b.npy", Data: npy})
	packed := formattest.Zip(formattest.Entry{Name: "features.npy", Data: npy, Deflate: true})
	second := bytes.LastIndex(both, []byte(entryMagic)) // of b.npy in the directory
	dir := bytes.Index(good, []byte(entryMagic))
	at := func(file []byte, i int, to ...byte) []byte {
		b := append([]byte(nil), file...)
		copy(b[i:], to)
		return b
	}
	n := uint32(len(npy))
	return map[string]badFile{
		"no zip":            {[]byte("GIF89a, which is no archive at all"), `malformed: begins with "GIF8", expected a zip archive`},
		"script before":     {append([]byte("#!/bin/sh\n"), good...), `malformed: begins with "#!/b", expected a zip archive`},
		"bytes after":       {append(append([]byte(nil), good...), 0), "truncated: no end of a zip archive: the file is cut short, or bytes follow it"},
		"no entries":        {formattest.Zip(), "empty: an archive without arrays"},
		"empty name":        {one(".npy", npy), "malformed: two arrays of this name, or none"},
		"name twice":        {at(both, second+entryLen, 'a'), "a.npy: malformed: two entries of this name"},
		"array twice":       {formattest.Zip(formattest.Entry{Name: "a.npy", Data: npy}, formattest.Entry{Name: "a", Data: npy}), "a: malformed: two arrays of this name, or none"},
		"control name":      {at(at(good, dir+entryLen, '\n'), localLen, '\n'), `malformed: an entry with the name "\neatures.npy"`},
		"encrypted":         {edit(good, entryMagic, 8, 1, 0), "features.npy: unsupported: encrypted"},
		"method":            {edit(good, entryMagic, 10, 14, 0), "features.npy: unsupported: compression method 14, known are 0 (stored) and 8 (deflated)"},
		"several parts":     {edit(good, endMagic, 4, 1, 0), "unsupported: an archive in several parts"},
		"stored sizes":      {edit(good, entryMagic, 24, le32(n+1)...), fmt.Sprintf("features.npy: malformed: stored, yet %d bytes are declared to take %d", n+1, n)},
		"deflated bomb":     {edit(packed, entryMagic, 24, le32(1<<31)...), "features.npy: malformed: 102 deflated bytes cannot hold the 2147483648 that are declared"},
		"local name":        {at(good, localLen, 'F'), `features.npy: malformed: the local header has the name "Features.npy"`},
		"local method":      {edit(good, localMagic, 8, 8, 0), "features.npy: malformed: method 0 in the directory, 8 in the local header"},
		"local flags":       {edit(good, localMagic, 6, 1, 0), "features.npy: malformed: flags 0x0 in the directory, 0x1 in the local header"},
		"local size":        {edit(good, localMagic, 22, le32(7)...), "features.npy: malformed: check sum or sizes differ between the directory and the local header"},
		"no local header":   {at(both, second+42, le32(1)...), "b.npy: malformed: no local header at byte 1"},
		"beyond":            {edit(good, entryMagic, 42, le32(1<<30)...), "features.npy: malformed: its data are declared at byte 1073741824, inside or after the directory"},
		"too long":          {edit(edit(good, entryMagic, 20, le32(n+100)...), entryMagic, 24, le32(n+100)...), fmt.Sprintf("features.npy: malformed: %d bytes of data at byte 42 go beyond the directory at %d", n+100, dir)},
		"directory moved":   {edit(good, endMagic, 16, le32(uint32(dir)+1)...), fmt.Sprintf("malformed: the directory is declared at byte %d with 58 bytes, the end record is at %d", dir+1, dir+58)},
		"directory damaged": {edit(good, entryMagic, 0, 'X'), "malformed: the directory is damaged"},
		"count":             {edit(good, endMagic, 8, 2, 0, 2, 0), "malformed: the directory has 1 entries, 2 were declared"},
		"many entries":      {edit(good, endMagic, 8, 0, 32, 0, 32), "too_large: 8192 entries, at most 4096 are read"},
		"large directory":   {edit(good, endMagic, 12, le32(1<<24)...), "too_large: a directory of 16777216 bytes, at most 4194304 are read"},
		"extra":             {edit(good, entryMagic, 30, 255), "malformed: the directory ends inside an entry"},
		"zip64 missing":     {edit(good, entryMagic, 24, le32(1<<32-1)...), "features.npy: malformed: a size is missing: the ZIP64 field is too short"},
		"zip64 end":         {edit(zip64(good), locatorMagic, 8, 1), "malformed: the ZIP64 end record is not where it should be"},
		"zip64 end damaged": {edit(zip64(good), end64Magic, 4, 1), "malformed: the ZIP64 end record is damaged"},
		"CRC":               {at(good, dir-3, 0x55), "features: malformed: CRC-32 of the data is 2a71a320, the archive has 40064f7b: the file is damaged"},
		"CRC of zero":       {edit(edit(good, entryMagic, 16, 0, 0, 0, 0), localMagic, 14, 0, 0, 0, 0), "features: malformed: CRC-32 of the data is 40064f7b, the archive has 00000000: the file is damaged"},
		"CRC, deflated":     {edit(edit(packed, entryMagic, 16, 1), localMagic, 14, 1), "features: malformed: CRC-32 of the data is 40064f7b, the archive has 40064f01: the file is damaged"},
		"deflate damaged":   {at(packed, localLen+12, 0xff), "features: malformed: deflated data: corrupt input before offset 1"},
		"inflates to fewer": {edit(edit(packed, entryMagic, 24, le32(n+1)...), localMagic, 22, le32(n+1)...), "features: malformed: 1 bytes follow the data of float32 3 x 2"},
		"npy in it":         {one("features.npy", []byte("no array")), `features: malformed: begins with "no arr", expected "\x93NUMPY"`},
		"empty npy":         {one("features.npy", nil), "features: truncated: no bytes, expected an npy header"},
		"data missing":      {one("features.npy", npy[:len(npy)-1]), "features: truncated: float32 3 x 2 takes 24 bytes, the file has 23"},
		"data more":         {one("features.npy", append(append([]byte(nil), npy...), 0)), "features: malformed: 1 bytes follow the data of float32 3 x 2"},
		"pickle":            {one("features.npy", formattest.NPYHeader("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}")), "features: unsupported: an object array, which is a pickle and could run code; save plain numbers, e.g. np.stack(list)"},
		"other file":        {one("notes.txt", []byte("hello")), "notes.txt: unsupported: not an .npy entry"},
		"Fortran too large": {formattest.Zip(formattest.Entry{Name: "x.npy", Deflate: true, Data: formattest.NPY(formattest.Matrix("", array.Float64, 1<<17, 20), false, true)}), "x: too_large: float64 131072 x 20, deflated in Fortran order, has to be held whole: 20971520 bytes, the budget is 16777216; raise --memory, or save np.ascontiguousarray(x)"},
	}
}

func TestBad(t *testing.T) {
	for name, c := range badFiles() {
		err := openAll(c.data)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nexpected: %s", name, err, c.want)
		}
	}
}

// openAll opens and reads every array, in full.
func openAll(data []byte) error {
	f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{Memory: 16 << 20})
	if err != nil {
		return err
	}
	for _, info := range f.Arrays() {
		a, err := f.Open(info.Name)
		if err != nil {
			return err
		}
		if err := a.Float64s(make([]float64, info.Rows()*info.Width()), 0); err != nil {
			return err
		}
	}
	return nil
}

// An entry overlapping another is refused although each agrees with its local header.
func TestOverlap(t *testing.T) {
	inner := formattest.NPZ(false, formattest.Matrix("b", array.Float32, 3, 2))
	outer := one("a.npy", inner) // its data begin with the local header of b.npy
	dir, inDir := bytes.LastIndex(outer, []byte(entryMagic)), bytes.Index(inner, []byte(entryMagic))
	record := append([]byte(nil), inner[inDir:len(inner)-endLen]...)
	copy(record[42:], le32(localLen+5))
	end := outer[len(outer)-endLen:]
	file := append(append(append([]byte(nil), outer[:len(outer)-endLen]...), record...), end...)
	copy(file[len(file)-endLen+8:], []byte{2, 0, 2, 0})
	copy(file[len(file)-endLen+12:], le32(uint32(len(file)-endLen-dir)))
	if err := openAll(file); err == nil || err.Error() != "b.npy: malformed: overlaps a.npy" {
		t.Error(err)
	}
}

// A damaged stored array is found by whatever reading covers it, in any order and at once, and is
// not read after that.
func TestCheckedInAnyOrder(t *testing.T) {
	const rows, cols = 1000, 8
	good := formattest.NPZ(false, formattest.Matrix("features", array.Float32, rows, cols))
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 1
	for name, file := range map[string][]byte{"good": good, "bad": bad} {
		for seed := range uint64(20) {
			f, err := Open(bytes.NewReader(file), int64(len(file)), array.Options{})
			if err != nil {
				t.Fatal(err)
			}
			a, err := f.Open("features")
			if err != nil {
				t.Fatal(err)
			}
			// Batches overlap; together they cover all rows.
			var spans [][2]int
			rng := rand.New(rand.NewPCG(1, seed))
			for lo := 0; lo < rows; lo += 1 + rng.IntN(60) {
				spans = append(spans, [2]int{lo, min(rows, lo+61)})
			}
			rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
			var wg sync.WaitGroup
			errs := make([]error, 4)
			for g := range errs {
				wg.Go(func() {
					for i := g; i < len(spans); i += len(errs) {
						lo, hi := spans[i][0], spans[i][1]
						if err := a.Float32s(make([]float32, (hi-lo)*cols), lo); err != nil {
							errs[g] = err
						}
					}
				})
			}
			wg.Wait()
			err = errors.Join(errs...)
			again := a.Float32s(make([]float32, cols), 0)
			if name == "good" && (err != nil || again != nil) || name == "bad" && (err == nil || again == nil || !errors.Is(again, array.Malformed)) {
				t.Fatalf("%s, seed %d: %v, %v", name, seed, err, again)
			}
		}
	}
}

func TestCombine(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 70000)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for range 200 {
		n := rng.IntN(len(data) + 1)
		m := n + rng.IntN(len(data)-n+1)
		a, b := crc32.ChecksumIEEE(data[:n]), crc32.ChecksumIEEE(data[n:m])
		if got, want := combine(a, b, int64(m-n)), crc32.ChecksumIEEE(data[:m]); got != want {
			t.Fatalf("%d and %d bytes: %08x, expected %08x", n, m-n, got, want)
		}
	}
}

func TestSniff(t *testing.T) {
	for name, want := range map[string]bool{"features.npy": true, "archive/data.pkl": false, strings.Repeat("long", 200) + ".npy": false} {
		file := one(name, nil)
		if got := Sniff(file[:min(len(file), 512)]); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	small := []formattest.Array{formattest.Matrix("features", array.Float32, 3, 2), formattest.Vector("labels", array.Uint8, 3)}
	seeds := [][]byte{formattest.NPZ(false, small...), formattest.NPZ(true, small...), zip64(formattest.NPZ(true, small[0]))}
	for name, c := range badFiles() {
		if name != "Fortran too large" {
			seeds = append(seeds, c.data)
		}
	}
	formattest.Fuzz(f, Open, seeds...)
}

func BenchmarkCheckedRead(b *testing.B) {
	const rows, cols = 1 << 14, 512
	data := formattest.NPZ(false, formattest.Array{Name: "x", DType: array.Float32, Shape: []int{rows, cols}, Values: make([]float64, rows*cols)})
	dst := make([]float32, 1024*cols)
	for _, check := range []bool{false, true} {
		b.Run(fmt.Sprintf("check=%v", check), func(b *testing.B) {
			f, err := Open(bytes.NewReader(data), int64(len(data)), array.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(rows * cols * 4)
			for b.Loop() {
				if check { // as if it had not been read
					m := &f.(*file).members[0]
					m.checked.done, m.checked.pieces = false, []piece{{0, m.npy.Size, 0}}
					m.checked.want = 0
				}
				a, _ := f.Open("x")
				for lo := 0; lo < rows; lo += 1024 {
					a.Float32s(dst, lo)
				}
			}
		})
	}
}
