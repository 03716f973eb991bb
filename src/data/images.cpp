#include "entk/data/images.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/io/atomic_file.h"
#include "entk/io/text.h"

namespace entk {

namespace {

/// No file of these data sets is larger, compressed or not.
constexpr std::size_t largest_file = std::size_t{256} << 20;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw InputError(fmt::format("{}: {}", file.string(), what));
}

/// What gzip packed. A damaged, truncated or swollen file is refused.
std::string unpacked(const std::filesystem::path& file, const std::string& packed) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw RunError("zlib: out of memory");
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } end{&stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string plain;
  std::string part(std::size_t{1} << 18, '\0');
  for (int code = Z_OK; code != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = static_cast<uInt>(part.size());
    code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) {
      refuse(file, code == Z_BUF_ERROR ? "its gzip data is truncated" : "its gzip data is damaged");
    }
    plain.append(part, 0, part.size() - stream.avail_out);
    if (plain.size() > largest_file) refuse(file, "it unpacks to more than 256 MiB");
  }
  if (stream.avail_in != 0) refuse(file, "something stands behind its gzip data");
  return plain;
}

std::string content(const std::filesystem::path& file) {
  auto bytes = read_file(file, largest_file);
  const bool gzip = bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
  return gzip ? unpacked(file, bytes) : bytes;
}

at::Tensor bytes_tensor(const char* from, at::IntArrayRef shape) {
  auto t = at::empty(shape, at::kByte);
  std::memcpy(t.mutable_data_ptr(), from, static_cast<std::size_t>(t.numel()));
  return t;
}

Images rows_of(const Images& images, std::int64_t first, std::int64_t count) {
  return {images.pixels.narrow(0, first, count).clone(), images.labels.narrow(0, first, count).clone()};
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

/// The file of this name, or with .gz behind it.
std::filesystem::path plain_or_packed(const std::filesystem::path& folder, const std::string& name) {
  const auto packed = folder / (name + ".gz");
  return !std::filesystem::exists(folder / name) && std::filesystem::exists(packed) ? packed : folder / name;
}

/// An idx file of unsigned bytes: magic number, one 32-bit size a dimension, the data.
at::Tensor load_idx(const std::filesystem::path& file, std::size_t dimensions, const char* what) {
  const auto bytes = content(file);
  const auto magic = static_cast<std::uint32_t>(0x0800 + dimensions);
  const std::size_t header = 4 + 4 * dimensions;
  if (bytes.size() < header || big_endian(bytes, 0) != magic) {
    refuse(file, fmt::format("not an idx file of {} (magic number 0x{:08x} expected)", what, magic));
  }
  std::vector<std::int64_t> shape;
  std::uint64_t total = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    const auto size = big_endian(bytes, 4 + 4 * i);
    shape.push_back(size);
    total = size == 0 || total > largest_file / size ? largest_file + 1 : total * size;
  }
  if (total != bytes.size() - header) {
    refuse(file, fmt::format("its header says {} bytes of {}, it has {}", fmt::join(shape, "×"), what,
                             bytes.size() - header));
  }
  return bytes_tensor(bytes.data() + header, shape);
}

Images load_idx_pair(const std::filesystem::path& folder, const std::string& prefix) {
  const auto image_file = plain_or_packed(folder, prefix + "-images-idx3-ubyte");
  const auto label_file = plain_or_packed(folder, prefix + "-labels-idx1-ubyte");
  auto pixels = load_idx(image_file, 3, "images"), labels = load_idx(label_file, 1, "labels");
  if (pixels.size(0) != labels.size(0)) {
    refuse(label_file, fmt::format("it has {} labels for the {} images of {}", labels.size(0), pixels.size(0),
                                   image_file.filename().string()));
  }
  return {pixels.unsqueeze(1), labels.to(at::kLong)};
}

constexpr std::int64_t cifar_side = 32, cifar_record = 1 + 3 * cifar_side * cifar_side, cifar_records = 10000;

Images load_cifar_file(const std::filesystem::path& file) {
  const auto bytes = content(file);
  if (bytes.size() != static_cast<std::size_t>(cifar_record * cifar_records)) {
    refuse(file, fmt::format("not a binary file of CIFAR-10: {} bytes expected, it has {}",
                             cifar_record * cifar_records, bytes.size()));
  }
  const auto records = bytes_tensor(bytes.data(), {cifar_records, cifar_record});
  const auto labels = records.select(1, 0).to(at::kLong);
  const auto wrong = labels.gt(9).nonzero();
  if (wrong.size(0) > 0) {
    const auto record = wrong[0][0].item<std::int64_t>();
    refuse(file, fmt::format("not a binary file of CIFAR-10: record {} has label {}", record,
                             labels[record].item<std::int64_t>()));
  }
  return {records.narrow(1, 1, cifar_record - 1).reshape({cifar_records, 3, cifar_side, cifar_side}), labels};
}

/// @throws InputError unless these are images as the loaders give them, of the training images' size.
void check_images(const Images& images, const Images& like, const std::string& set) {
  const auto& [pixels, labels] = images;
  if (!pixels.defined() || pixels.dim() != 4 || pixels.numel() == 0 || pixels.scalar_type() != at::kByte) {
    throw InputError(
        fmt::format("{} pixels: expected Byte of shape [n, channels, height, width], got {}", set, shape_text(pixels)));
  }
  if (pixels.sizes().slice(1) != like.pixels.sizes().slice(1)) {
    throw InputError(fmt::format("{} pixels: expected images like the training ones, {}, got {}", set,
                                 shape_text(like.pixels), shape_text(pixels)));
  }
  check_vector(set + " labels", labels, pixels.size(0));
  if (labels.scalar_type() != at::kLong)
    throw InputError(fmt::format("{} labels: expected Long, got {}", set, toString(labels.scalar_type())));
  if (!pixels.is_cpu() || !labels.is_cpu())
    throw InputError(fmt::format("{} images: expected on the cpu, got on {}", set, pixels.device().str()));
}

/// The indices of the images of two classes, at most `limit` of them.
at::Tensor of_classes(const Images& images, std::pair<std::int64_t, std::int64_t> classes, std::int64_t limit,
                      const char* set) {
  for (const auto c : {classes.first, classes.second}) {
    if (!images.labels.eq(c).any().item<bool>())
      throw InputError(fmt::format("classes: the {} images have none of class {}", set, c));
  }
  const auto found = (images.labels.eq(classes.first) + images.labels.eq(classes.second)).nonzero().flatten();
  return limit > 0 && limit < found.size(0) ? found.narrow(0, 0, limit) : found;
}

}  // namespace

ImageSet load_digits(const std::filesystem::path& file) {
  constexpr int side = 8, columns = side * side + 1;
  const auto text = content(file);
  std::vector<std::uint8_t> values;
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++line;
    const auto end = text.find('\n', begin);
    if (end == std::string::npos) refuse(file, fmt::format("line {} is cut off", line));
    int count = 0;
    for (std::size_t at = begin; at <= end; ++count) {
      const auto stop = std::min(text.find(',', at), end);
      const auto word = std::string_view(text).substr(at, stop - at);
      const int highest = count == columns - 1 ? 9 : 16;
      const auto number = parse_double(word);
      if (count == columns || !number || *number < 0 || *number > highest || *number != std::floor(*number)) {
        refuse(file, fmt::format(
                         "line {}: expected {} whole numbers, pixels of 0 to 16 and a digit of 0 to 9; number {} is {}",
                         line, columns, count + 1, in_quotes(word)));
      }
      values.push_back(static_cast<std::uint8_t>(*number));
      at = stop + 1;
    }
    if (count != columns) refuse(file, fmt::format("line {}: expected {} whole numbers, got {}", line, columns, count));
    begin = end + 1;
  }
  if (line < 4)
    refuse(file, fmt::format("expected a row of {} whole numbers for each digit, got {} rows", columns, line));
  const auto table = bytes_tensor(reinterpret_cast<const char*>(values.data()), {line, columns});
  const Images all{table.narrow(1, 0, columns - 1).reshape({line, 1, side, side}),
                   table.select(1, columns - 1).to(at::kLong)};
  const std::int64_t test = line / 4;
  return {rows_of(all, 0, line - test), rows_of(all, line - test, test), "handwritten digits of 8×8 pixels"};
}

std::filesystem::path installed_digits() {
  const std::filesystem::path file = ENTK_DIGITS;
  return std::filesystem::exists(file) ? file : std::filesystem::path();
}

ImageSet load_mnist(const std::filesystem::path& folder) {
  auto train = load_idx_pair(folder, "train"), test = load_idx_pair(folder, "t10k");
  if (train.pixels.sizes().slice(1) != test.pixels.sizes().slice(1)) {
    refuse(folder, "training and test images differ in size");
  }
  return {std::move(train), std::move(test), "MNIST"};
}

ImageSet load_cifar10(const std::filesystem::path& folder) {
  std::vector<at::Tensor> pixels, labels;
  for (int batch = 1; batch <= 5; ++batch) {
    const auto images = load_cifar_file(folder / fmt::format("data_batch_{}.bin", batch));
    pixels.push_back(images.pixels);
    labels.push_back(images.labels);
  }
  return {{at::cat(pixels), at::cat(labels)}, load_cifar_file(folder / "test_batch.bin"), "CIFAR-10"};
}

DataSet two_classes(const ImageSet& images, std::pair<std::int64_t, std::int64_t> classes, std::int64_t samples,
                    std::int64_t test_samples) {
  if (classes.first == classes.second) throw InputError("classes: expected two different ones");
  for (const auto& [name, value] : {std::pair{"samples", samples}, {"test_samples", test_samples}}) {
    if (value < 0) throw InputError(fmt::format("{}: expected at least 0, got {}", name, value));
  }
  check_images(images.train, images.train, "training");
  check_images(images.test, images.train, "test");
  const SerialTorch serial;
  const auto chosen = [&](const Images& from, std::int64_t limit, const char* set) {
    const auto index = of_classes(from, classes, limit, set);
    return Samples{from.pixels.index_select(0, index).to(at::kDouble),
                   from.labels.index_select(0, index).eq(classes.first).to(at::kDouble) * 2 - 1};
  };
  DataSet data;
  data.train = chosen(images.train, samples, "training");
  data.test = chosen(images.test, test_samples, "test");
  for (std::int64_t channel = 0; channel < data.train.x.size(1); ++channel) {
    const auto of_channel = data.train.x.select(1, channel);
    const double mean = of_channel.mean().item<double>(), deviation = of_channel.std(false).item<double>();
    if (!(deviation > 0))
      throw InputError(fmt::format("{}: channel {} is the same everywhere", images.description, channel));
    for (auto* x : {&data.train.x, &data.test.x}) x->select(1, channel).sub_(mean).div_(deviation);
  }
  data.target = fmt::format("{}: class {} (+1) or {} (-1)", images.description, classes.first, classes.second);
  data.zero_model_loss = 1.0;
  return data;
}

DataSet load_images(const std::string& file, const ImageOptions& o) {
  std::filesystem::path path = file;
  if (path.empty() && o.format == "digits") {
    path = installed_digits();
    if (path.empty())
      throw InputError("data.file: no digits where setup.sh puts them; name scikit-learn's digits.csv.gz");
  }
  if (path.empty()) throw InputError(fmt::format("data.file: expected the folder with {}'s files, got none", o.format));
  const auto images = o.format == "digits"  ? load_digits(path)
                      : o.format == "mnist" ? load_mnist(path)
                                            : load_cifar10(path);
  const auto two = two_classes(images, o.classes, o.samples, o.test_samples);
  const SerialTorch serial;
  const auto rows = [&](const at::Tensor& pixels) {
    auto x = pixels.flatten(1);
    if (!o.on_sphere) return x;
    const auto norms = x.square().sum(1, true).sqrt();
    if (!(norms.min().item<double>() > 0))
      throw InputError(images.description + ": an image has no place on the sphere: all of it is zero");
    return x * std::sqrt(static_cast<double>(x.size(1))) / norms;
  };
  auto data = own_data({rows(two.train.x), two.train.y}, {rows(two.test.x), two.test.y});
  data.target = two.target;
  data.zero_model_loss = two.zero_model_loss;
  return data;
}

}  // namespace entk
