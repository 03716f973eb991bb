#include "entk/kernels/cpu/cpu_primitive.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/kernels/aten_primitive.h"
#include "entk/kernels/cpu/aligned_buffer.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels {

namespace {

/// Rows of G formed at a time: with their inputs they fit the first-level cache.
constexpr std::int64_t form_block = 96;
/// Rows of tables made at a time by ATen, whose calls cost microseconds each.
constexpr std::int64_t aten_block = 1920;

template <class T>
class CpuStepper;

template <class T>
class CpuPrimitive final : public TaylorPrimitive, public std::enable_shared_from_this<CpuPrimitive<T>> {
 public:
  CpuPrimitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation, int orders,
               KernelMode mode, Isa isa)
      : TaylorPrimitive(x.contiguous(), w0.contiguous(), a.contiguous(), activation, orders),
        kernels_(tile_kernels<T>(isa)),
        mode_(mode),
        n_(x.size(0)),
        d_(x.size(1)),
        m_(w0.size(0)),
        padded_((n_ + sample_block - 1) / sample_block * sample_block),
        twins_(has_twins(w0, a)),
        neurons_(twins_ ? m_ / 2 : m_),
        table_columns_(twins_ ? tile_columns / 2 : tile_columns),
        tiles_((neurons_ + table_columns_ - 1) / table_columns_),
        shard_(shard_with(m_)),
        tree_(shared_tree(shard_, table_columns_, tiles_)),
        // The kernels know the derivatives up to order 2.
        native_(activation.kind.has_value() && orders <= 2) {
    static_assert(pair_group % tile_columns == 0, "a group of neurons is whole tiles");
    pack_points();
    scale_ = AlignedBuffer<T>(tiles_ * table_columns_);
    const T* signs = a_.template const_data_ptr<T>();
    for (std::int64_t r = 0; r < neurons_; ++r) {
      scale_.data()[r] = static_cast<T>(signs[r] / std::sqrt(static_cast<double>(shard_.width)));
    }
    if (mode_ == KernelMode::keep) {
      tables_ = AlignedBuffer<T>(tiles_ * tile_tables());
      const SerialTorch serial;
      std::vector<Scratch> scratch(threads());
      parallel_for_workers(tiles_, [&](std::int64_t tile, int worker) {
        Scratch& s = scratch[worker];
        T* tables = tables_.data() + tile * tile_tables();
        for (std::int64_t i = 0; i < padded_; i += table_block()) {
          fill_tables(tile, i, std::min(table_block(), padded_ - i), s, tables + i * row_tables());
        }
      });
    }
  }

  KernelMode mode() const override { return mode_; }
  const char* backend() const override { return isa_name(kernels_.isa); }

  at::Tensor terms(const at::Tensor& w) const override {
    check_weights("w", w, *this);
    const SerialTorch serial;
    const at::Tensor weights = w.contiguous();
    std::vector<Scratch> scratch(threads());
    TileSums sums;
    return sum_tiles(sums, orders_, [&](std::int64_t tile, int worker, T* out) {
      Scratch& s = scratch[worker];
      const T* wt = load_weights(tile, data(weights), s);
      forward_tile(tile, wt, s, nullptr, out);
    });
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_cotangents(cotangents, orders_, *this);
    return pull_back_tiles(
        w, cotangents, orders_, [this](std::int64_t tile, std::int64_t i, std::int64_t count, Scratch& s, const T* g) {
          const T* tables = tables_at(tile, i, s);
          product(i, count, s.weights.data(), s.z.reserve(count * tile_columns));
          kernels_.form(count, orders_, twins_, tables, s.z.data(), g + i, padded_, s.g.reserve(count * tile_columns));
        });
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    if (orders_ != 2) return plain()->terms_along(w, v);
    const SerialTorch serial;
    const at::Tensor weights = w.contiguous(), direction = v.contiguous();
    std::vector<Scratch> scratch(threads());
    TileSums sums;
    return sum_tiles(sums, 0, [&](std::int64_t tile, int worker, T* out) {
      Scratch& s = scratch[worker];
      load_weights(tile, data(weights), s);
      load_weights(tile, data(direction), s.direction);
      for_blocks([&](std::int64_t i, std::int64_t count) {
        const T* tables = tables_at(tile, i, s);
        product(i, count, s.weights.data(), s.z.reserve(count * tile_columns));
        product(i, count, s.direction.data(), s.v.reserve(count * tile_columns));
        kernels_.sums_along(count, twins_, tables, s.z.data(), s.v.data(), out + i, padded_);
      });
    });
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    check_cotangents(cotangents, 3, *this);
    if (orders_ != 2) return plain()->pull_back_along(w, v, cotangents);
    const at::Tensor direction = v.contiguous();
    return pull_back_tiles(
        w, cotangents, 3,
        [this, &direction](std::int64_t tile, std::int64_t i, std::int64_t count, Scratch& s, const T* g) {
          if (i == 0) load_weights(tile, data(direction), s.direction);
          const T* tables = tables_at(tile, i, s);
          product(i, count, s.weights.data(), s.z.reserve(count * tile_columns));
          product(i, count, s.direction.data(), s.v.reserve(count * tile_columns));
          kernels_.form_along(count, twins_, tables, s.z.data(), s.v.data(), g + i, padded_,
                              s.g.reserve(count * tile_columns));
        });
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override;

 private:
  friend class CpuStepper<T>;

  /// Memory that grows to what it is asked for and is not cleared.
  class Space {
   public:
    T* reserve(std::int64_t count) {
      if (static_cast<std::int64_t>(buffer_.size()) < count) buffer_ = AlignedBuffer<T>(count);
      return buffer_.data();
    }
    T* data() { return buffer_.data(); }

   private:
    AlignedBuffer<T> buffer_;
  };

  /// What one worker needs; nothing of it outlives a tile except as memory.
  struct Scratch {
    Space weights, direction, start;  // [feature][columns]
    Space arguments, tables;          // W0 x and tables, where they are not kept
    Space z, v, g;                    // [sample][64]
    Space gradient, rows, noise;
    std::int64_t start_tile = -1;   // whose W0 `start` holds
    bool whole_tile = false;        // `tables` has room for a tile: a step needs them twice
    std::int64_t tables_tile = -1;  // whose tables `tables` then holds
  };

  /// For the directional forms, whose kernels read tables of two orders.
  std::shared_ptr<const TaylorPrimitive> plain() const {
    return make_aten_primitive(x_, w0_, a_, activation_, orders_);
  }

  static const T* data(const at::Tensor& t) { return t.template const_data_ptr<T>(); }
  std::int64_t row_tables() const { return orders_ * table_columns_; }
  std::int64_t tile_tables() const { return padded_ * row_tables(); }
  std::int64_t table_block() const { return native_ ? form_block : aten_block; }

  template <class F>
  void for_blocks(F&& f) const {
    for (std::int64_t i = 0; i < padded_; i += form_block) f(i, std::min(form_block, padded_ - i));
  }

  void pack_points() {
    const std::int64_t pieces = (d_ + feature_block - 1) / feature_block;
    x_forward_ = AlignedBuffer<T>(padded_ * d_);
    x_backward_ = AlignedBuffer<T>(pieces * padded_ * feature_block);
    const T* x = data(x_);
    for (std::int64_t i = 0; i < n_; ++i) {
      T* forward = x_forward_.data() + i / sample_block * sample_block * d_ + i % sample_block;
      for (std::int64_t k = 0; k < d_; ++k) {
        forward[k * sample_block] = x[i * d_ + k];
        x_backward_.data()[(k / feature_block * padded_ + i) * feature_block + k % feature_block] = x[i * d_ + k];
      }
    }
  }

  /// Rows of the tile (and of its twins) to columns; columns without a neuron are zero.
  const T* load_weights(std::int64_t tile, const T* w, Space& space) const {
    const std::int64_t first = tile * table_columns_;
    const std::int64_t count = std::min<std::int64_t>(table_columns_, neurons_ - first);
    T* columns = space.reserve(d_ * tile_columns);
    if (count < table_columns_) std::fill(columns, columns + d_ * tile_columns, T(0));
    for (int half = 0; half < (twins_ ? 2 : 1); ++half) {
      kernels_.rows_to_tile(w + (half * neurons_ + first) * d_, d_, static_cast<int>(count), d_, columns, tile_columns,
                            half * table_columns_);
    }
    return columns;
  }
  const T* load_weights(std::int64_t tile, const T* w, Scratch& s) const { return load_weights(tile, w, s.weights); }

  void product(std::int64_t i, std::int64_t count, const T* wt, T* z) const {
    kernels_.product(count / sample_block, d_, x_forward_.data() + i * d_, wt, tile_columns, z);
  }

  /// σ^(p)(W0 x) a m^(-1/2) for rows i … i+count−1 of a tile.
  void fill_tables(std::int64_t tile, std::int64_t i, std::int64_t count, Scratch& s, T* tables) const {
    const std::int64_t first = tile * table_columns_;
    if (s.start_tile != tile) {
      const std::int64_t valid = std::min<std::int64_t>(table_columns_, neurons_ - first);
      T* columns = s.start.reserve(d_ * table_columns_);
      if (valid < table_columns_) std::fill(columns, columns + d_ * table_columns_, T(0));
      kernels_.rows_to_tile(data(w0_) + first * d_, d_, static_cast<int>(valid), d_, columns, table_columns_, 0);
      s.start_tile = tile;
    }
    T* z = s.arguments.reserve(count * table_columns_);
    kernels_.product(count / sample_block, d_, x_forward_.data() + i * d_, s.start.data(), table_columns_, z);
    const T* scale = scale_.data() + first;
    if (native_) {
      const auto& parameters = activation_.parameters;
      kernels_.activate(*activation_.kind, parameters.data(), static_cast<int>(parameters.size()), count,
                        table_columns_, orders_, z, scale, tables);
    } else {
      const at::NoGradGuard no_grad;
      const auto options = x_.options();
      const auto arguments = at::from_blob(z, {count, table_columns_}, options);
      const auto factors = at::from_blob(const_cast<T*>(scale), {table_columns_}, options);
      auto out = at::from_blob(tables, {count, orders_, table_columns_}, options);
      for (int p = 1; p <= orders_; ++p) {
        out.select(1, p - 1).copy_(activation_.derivative(arguments, p) * factors);
      }
    }
    // A column without a neuron contributes nothing, whatever σ^(p)(0) is.
    for (std::int64_t column = neurons_ - first; column < table_columns_; ++column) {
      for (std::int64_t row = 0; row < count * orders_; ++row) tables[row * table_columns_ + column] = T(0);
    }
  }

  /// Tables of rows i … , kept or made now. Within a tile, calls come in order of i.
  const T* tables_at(std::int64_t tile, std::int64_t i, Scratch& s) const {
    if (mode_ == KernelMode::keep) return tables_.data() + tile * tile_tables() + i * row_tables();
    const std::int64_t block = i / table_block() * table_block();
    const std::int64_t rows = std::min(table_block(), padded_ - block);
    if (s.whole_tile) {
      T* all = s.tables.reserve(tile_tables());
      if (s.tables_tile != tile && block == i) {
        fill_tables(tile, block, rows, s, all + block * row_tables());
        if (block + rows == padded_) s.tables_tile = tile;
      }
      return all + i * row_tables();
    }
    if (block == i) fill_tables(tile, block, rows, s, s.tables.reserve(rows * row_tables()));
    return s.tables.data() + (i - block) * row_tables();
  }

  /// Z of a tile (kept where z is not null) and its sums.
  void forward_tile(std::int64_t tile, const T* wt, Scratch& s, T* z, T* sums) const {
    if (mode_ == KernelMode::keep) {
      kernels_.forward(padded_ / sample_block, d_, x_forward_.data(), wt, orders_, twins_,
                       tables_.data() + tile * tile_tables(), z, sums, padded_);
      return;
    }
    for (std::int64_t i = 0; i < padded_; i += table_block()) {
      const std::int64_t count = std::min(table_block(), padded_ - i);
      const T* tables = tables_at(tile, i, s);
      kernels_.forward(count / sample_block, d_, x_forward_.data() + i * d_, wt, orders_, twins_, tables, nullptr,
                       sums + i, padded_);
    }
  }

  /// Sums of a group of tiles, and of the groups before it.
  struct TileSums {
    Space tiles, groups, nodes, all_nodes;
  };

  /// count rows of `length` to the first of them, by a fixed tree.
  void add_up(T* rows, std::int64_t count, std::int64_t length) const {
    constexpr std::int64_t chunk = 1536;
    parallel_for((length + chunk - 1) / chunk, [&](std::int64_t part) {
      const std::int64_t from = part * chunk, size = std::min(chunk, length - from);
      for (std::int64_t stride = 1; stride < count; stride *= 2) {
        for (std::int64_t t = 0; t + stride < count; t += 2 * stride) {
          kernels_.add(size, rows + (t + stride) * length + from, rows + t * length + from);
        }
      }
    });
  }

  /// Σ over all processes' tiles of what make(tile, worker, sums) makes, with 1/p! where `factorials` orders want it:
  /// each sums up its tiles to nodes of the tree over all of them, and finishes the tree itself.
  template <class F>
  at::Tensor sum_tiles(TileSums& sums, int factorials, F&& make) const {
    const std::int64_t rows = factorials ? factorials : 2;
    const std::int64_t length = rows * padded_;
    T* total = nullptr;
    if (group().size() == 1) {
      total = sum_node(sums, tree_.own[0], length, make);
    } else {
      const auto own = static_cast<std::int64_t>(tree_.own.size());
      T* nodes = sums.nodes.reserve(own * length);
      for (std::int64_t i = 0; i < own; ++i) {
        const T* node = sum_node(sums, tree_.own[static_cast<std::size_t>(i)], length, make);
        std::copy(node, node + length, nodes + i * length);
      }
      std::vector<std::int64_t> bytes;
      for (const auto count : tree_.counts) bytes.push_back(count * length * static_cast<std::int64_t>(sizeof(T)));
      total = sums.all_nodes.reserve(static_cast<std::int64_t>(tree_.all.size()) * length);
      group().all_gather(nodes, total, bytes);
      climb(tree_.all, [&](std::size_t to, std::size_t from) {
        kernels_.add(length, total + static_cast<std::int64_t>(from) * length,
                     total + static_cast<std::int64_t>(to) * length);
      });
    }
    at::Tensor out = at::empty({rows, n_}, x_.options());
    T* result = out.template mutable_data_ptr<T>();
    T factor = 1;
    for (std::int64_t p = 0; p < rows; ++p) {
      if (factorials) factor /= static_cast<T>(p + 1);
      const T* from = total + p * padded_;
      for (std::int64_t i = 0; i < n_; ++i) result[p * n_ + i] = factor * from[i];
    }
    return out;
  }

  /// The sum of a node's tiles. The tree is climbed a group at a time: a group's size is a power of two and changes no
  /// bits, and what is kept does not grow with n×m.
  template <class F>
  T* sum_node(TileSums& sums, const TreeNode& node, std::int64_t length, F&& make) const {
    // Groups of some 4 MB, of enough tiles that threads do not wait for each other's last one.
    const auto fitting = static_cast<std::uint64_t>((std::int64_t{4} << 20) / (length * std::int64_t{sizeof(T)}) + 1);
    const auto group = static_cast<std::int64_t>(
        std::max(std::bit_floor(fitting), std::bit_ceil(static_cast<std::uint64_t>(16 * threads()))));
    const std::int64_t groups = (node.count + group - 1) / group;
    T* tile_rows = sums.tiles.reserve(std::min(group, node.count) * length);
    T* group_rows = groups > 1 ? sums.groups.reserve(groups * length) : tile_rows;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t first = g * group, count = std::min(group, node.count - first);
      parallel_for_workers(
          count, [&](std::int64_t i, int worker) { make(node.first + first + i, worker, tile_rows + i * length); });
      add_up(tile_rows, count, length);
      if (groups > 1) std::copy(tile_rows, tile_rows + length, group_rows + g * length);
    }
    if (groups > 1) add_up(group_rows, groups, length);
    return group_rows;
  }

  /// Rows of `cotangents` padded with zeros.
  AlignedBuffer<T> pad(const at::Tensor& cotangents, int rows) const {
    const at::Tensor g = cotangents.contiguous();
    AlignedBuffer<T> padded(rows * padded_);
    for (int p = 0; p < rows; ++p) {
      std::copy(data(g) + p * n_, data(g) + (p + 1) * n_, padded.data() + p * padded_);
    }
    return padded;
  }

  /// Gᵀ X where `form_block_of` makes rows of G in s.g.
  template <class F>
  at::Tensor pull_back_tiles(const at::Tensor& w, const at::Tensor& cotangents, int rows, F&& form_block_of) const {
    const SerialTorch serial;
    const at::Tensor weights = w.contiguous();
    const AlignedBuffer<T> g = pad(cotangents, rows);
    at::Tensor out = at::empty({m_, d_}, x_.options());
    T* result = out.template mutable_data_ptr<T>();
    std::vector<Scratch> scratch(threads());
    parallel_for_workers(tiles_, [&](std::int64_t tile, int worker) {
      Scratch& s = scratch[worker];
      load_weights(tile, data(weights), s);
      T* gradient = s.gradient.reserve(d_ * tile_columns);
      std::fill(gradient, gradient + d_ * tile_columns, T(0));
      for_blocks([&](std::int64_t i, std::int64_t count) {
        form_block_of(tile, i, count, s, g.data());
        pull(i, count, s.g.data(), gradient, {});
      });
      const std::int64_t first = tile * table_columns_;
      const std::int64_t count = std::min<std::int64_t>(table_columns_, neurons_ - first);
      for (int half = 0; half < (twins_ ? 2 : 1); ++half) {
        kernels_.tile_to_rows(gradient, tile_columns, half * table_columns_, static_cast<int>(count), d_,
                              result + (half * neurons_ + first) * d_, d_);
      }
    });
    return out;
  }

  void pull(std::int64_t i, std::int64_t count, const T* g, T* gradient, const Prefetch& ahead) const {
    kernels_.pull(count, d_, g, x_backward_.data() + i * feature_block, padded_ * feature_block, gradient, ahead);
  }

  const TileKernels<T>& kernels_;
  KernelMode mode_;
  std::int64_t n_, d_, m_, padded_;
  bool twins_;
  std::int64_t neurons_;  // with tables of their own
  int table_columns_;
  std::int64_t tiles_;
  Shard shard_;
  SharedTree tree_;  // over tiles
  bool native_;
  AlignedBuffer<T> x_forward_, x_backward_, scale_, tables_;
};

template <class T>
class CpuStepper final : public Stepper {
  using Primitive = CpuPrimitive<T>;
  using Scratch = typename Primitive::Scratch;

 public:
  CpuStepper(std::shared_ptr<const Primitive> primitive, const at::Tensor& w)
      : owner_(std::move(primitive)), p_(*owner_) {
    if (p_.mode_ == KernelMode::keep) z_ = AlignedBuffer<T>(p_.tiles_ * p_.padded_ * tile_columns);
    const SerialTorch serial;
    const at::Tensor weights = w.contiguous();
    prepare_scratch();
    terms_ = p_.sum_tiles(sums_, p_.orders_, [&](std::int64_t tile, int worker, T* sums) {
      Scratch& s = scratch_[worker];
      const T* wt = p_.load_weights(tile, Primitive::data(weights), s);
      p_.forward_tile(tile, wt, s, z_at(tile), sums);
    });
  }

  at::Tensor terms() const override { return terms_; }

  void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) override {
    check_weights("w", w, p_);
    if (!w.is_contiguous()) throw InputError("w: a step needs its rows one behind the other (contiguous)");
    check_cotangents(cotangents, p_.orders_, p_);
    if (update.extra.defined()) check_weights("extra", update.extra, p_);
    const SerialTorch serial;
    const AlignedBuffer<T> g = p_.pad(cotangents, p_.orders_);
    const at::Tensor extra = update.extra.defined() ? update.extra.contiguous() : at::Tensor();
    T* weights = w.template mutable_data_ptr<T>();
    prepare_scratch();
    terms_ = p_.sum_tiles(sums_, p_.orders_, [&](std::int64_t tile, int worker, T* sums) {
      step_tile(tile, g.data(), extra.defined() ? Primitive::data(extra) : nullptr, update, weights, scratch_[worker],
                sums);
    });
  }

 private:
  /// Some 4 MB a worker are well spent on not making a tile's tables twice.
  static constexpr std::int64_t whole_tile_entries = std::int64_t{1} << 20;

  void prepare_scratch() {
    scratch_.resize(std::max<std::size_t>(scratch_.size(), threads()));
    for (Scratch& s : scratch_) s.whole_tile = p_.tile_tables() <= whole_tile_entries;
  }

  T* z_at(std::int64_t tile) { return z_.size() ? z_.data() + tile * p_.padded_ * tile_columns : nullptr; }

  /// G of the tile, its gradient, its new rows of W, its new Z and its share of the new terms.
  void step_tile(std::int64_t tile, const T* cotangents, const T* extra, const Update& update, T* w, Scratch& s,
                 T* sums) {
    const std::int64_t d = p_.d_;
    const bool kept = p_.mode_ == KernelMode::keep;
    T* z = z_at(tile);
    if (!kept) p_.load_weights(tile, w, s);
    T* gradient = s.gradient.reserve(d * tile_columns);
    std::fill(gradient, gradient + d * tile_columns, T(0));
    T* g = s.g.reserve(form_block * tile_columns);
    p_.for_blocks([&](std::int64_t i, std::int64_t count) {
      const T* tables = p_.tables_at(tile, i, s);
      const T* rows = kept ? z + i * tile_columns : s.z.reserve(form_block * tile_columns);
      if (!kept) p_.product(i, count, s.weights.data(), s.z.data());
      p_.kernels_.form(count, p_.orders_, p_.twins_, tables, rows, cotangents + i, p_.padded_, g);
      Prefetch ahead;
      if (const std::int64_t next = i + form_block; kept && next < p_.padded_) {
        const std::int64_t rows_ahead = std::min(form_block, p_.padded_ - next);
        const auto size = static_cast<std::int64_t>(sizeof(T));
        ahead.part[0] = {tables + form_block * p_.row_tables(), rows_ahead * p_.row_tables() * size};
        ahead.part[1] = {rows + form_block * tile_columns, rows_ahead * tile_columns * size};
      }
      p_.pull(i, count, g, gradient, ahead);
    });

    const std::int64_t first = tile * p_.table_columns_;
    const std::int64_t count = std::min<std::int64_t>(p_.table_columns_, p_.neurons_ - first);
    T* rows = s.rows.reserve(count * d);
    for (int half = 0; half < (p_.twins_ ? 2 : 1); ++half) {
      const std::int64_t at = (half * p_.neurons_ + first) * d;
      // Of all processes' rows, which noise and signs are numbered by.
      const std::int64_t row = p_.shard_.row(half) + first;
      p_.kernels_.tile_to_rows(gradient, tile_columns, half * p_.table_columns_, static_cast<int>(count), d, rows, d);
      T* noise = nullptr;
      if (update.noise) {
        noise = s.noise.reserve(count * d);
        p_.kernels_.noise(*update.noise, static_cast<std::uint64_t>(row * d), count * d, noise);
      }
      p_.kernels_.update(count * d, static_cast<T>(update.learning_rate), rows, extra ? extra + at : nullptr, noise,
                         w + at);
      for (std::int64_t r = 0; update.signs && r < count; ++r) {
        if (update.signs->sign(static_cast<std::uint64_t>(row + r)) > 0) continue;
        for (T* entry = w + at + r * d; entry != w + at + (r + 1) * d; ++entry) *entry = -*entry;
      }
    }
    const T* wt = p_.load_weights(tile, w, s);
    p_.forward_tile(tile, wt, s, z, sums);
  }

  std::shared_ptr<const Primitive> owner_;
  const Primitive& p_;
  AlignedBuffer<T> z_;
  typename Primitive::TileSums sums_;
  std::vector<Scratch> scratch_;
  at::Tensor terms_;
};

template <class T>
std::unique_ptr<Stepper> CpuPrimitive<T>::stepper(const at::Tensor& w) const {
  check_weights("w", w, *this);
  return std::make_unique<CpuStepper<T>>(this->shared_from_this(), w);
}

}  // namespace

std::shared_ptr<const TaylorPrimitive> make_cpu_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                          const at::Tensor& a, const Activation& activation, int orders,
                                                          KernelMode mode, Isa isa) {
  if (x.scalar_type() == at::kFloat) {
    return std::make_shared<CpuPrimitive<float>>(x, w0, a, activation, orders, mode, isa);
  }
  return std::make_shared<CpuPrimitive<double>>(x, w0, a, activation, orders, mode, isa);
}

}  // namespace entk::kernels
