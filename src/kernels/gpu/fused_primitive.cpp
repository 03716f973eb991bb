#include "entk/kernels/gpu/fused_primitive.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/kernels/aten_primitive.h"
#include "entk/kernels/gpu/recordable_stepper.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"

namespace entk::kernels::fused {

namespace {

/// Blocks of a launch in its second dimension.
constexpr std::int64_t most_tiles_of_a_group = 32768;
/// Up to here U Uᵀ t is read from the product U Uᵀ, in one launch; beyond, its n² numbers take longer than two.
constexpr std::int64_t most_samples_of_projector = 2048;

const float* data(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }
float* mutable_data(const at::Tensor& t) { return t.defined() ? t.mutable_data_ptr<float>() : nullptr; }

/// What a group of tiles is worked on with. Undefined where it is kept for all tiles or not needed.
struct Workspace {
  std::int64_t tiles = 0;  ///< of a group
  at::Tensor tables, z, along, gradients;
};

class FusedStepper;

class FusedPrimitive final : public TaylorPrimitive, public std::enable_shared_from_this<FusedPrimitive> {
 public:
  FusedPrimitive(std::shared_ptr<const Launcher> launcher, const at::Tensor& x, const at::Tensor& w0,
                 const at::Tensor& a, const Activation& activation, const FusedOptions& options)
      : TaylorPrimitive(x.contiguous(), w0.contiguous(), a.contiguous(), activation, options.orders),
        launcher_(std::move(launcher)),
        options_(options),
        layout_(make_layout(x.size(0), x.size(1), w0.size(0), options.orders, has_twins(w0, a))),
        shard_(shard_with(w0.size(0))),
        tree_(shared_tree(shard_, pair_group, (layout_.tiles + leaf_tiles - 1) / leaf_tiles)),
        // Of all processes' neurons: what it sums in which order may not depend on how they are shared out.
        plan_(plan_pull(make_layout(x.size(0), x.size(1), shard_.width, options.orders, layout_.twins),
                        launcher_->slots())) {
    static_assert(leaf_tiles * tile_columns / 2 == pair_group, "processes share out whole leaves");
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    padded_points_ = at::zeros({layout_.rows, layout_.features}, x_.options());
    padded_points_.narrow(0, 0, layout_.samples).narrow(1, 0, layout_.dimension).copy_(x_);
    scale_ = (a_.narrow(0, 0, layout_.neurons).to(at::kDouble) / std::sqrt(static_cast<double>(shard_.width)))
                 .to(at::kFloat);
    if (keeps()) {
      tables_ = new_tables(layout_.tiles);
      const std::int64_t slab = whole_leaves(8 * layout_.rows * layout_.table_columns() * 4);  // ATen's temporaries
      for (std::int64_t first = 0; first < layout_.tiles; first += slab) {
        const TileRange range{first, std::min(slab, layout_.tiles - first)};
        fill_tables(range, tables_.narrow(0, first, range.count));
      }
    }
  }

  KernelMode mode() const override { return options_.mode; }
  const char* backend() const override { return launcher_->name(); }
  bool in_tf32() const override { return launcher_->in_tf32(); }

  at::Tensor terms(const at::Tensor& w) const override {
    check_weights("w", w, *this);
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const at::Tensor weights = packed(w), sums = new_sums();
    const Workspace space = workspace(false, false, false);
    for_groups(space, [&](TileRange range) { forward(range, weights, tables_of(range, space), {}, sums); });
    return reduced(sums);
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_cotangents(cotangents, orders_, *this);
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const at::Tensor weights = packed(w), g = cotangents.contiguous();
    const at::Tensor out = at::empty({layout_.width, layout_.dimension}, x_.options());
    const Workspace space = workspace(true, false, true);
    for_groups(space, [&](TileRange range) {
      forward(range, weights, {}, space.z, {});
      pull(range, tables_of(range, space), space.z, g, space.gradients);
      launcher_->update(
          {layout_, range, plan_.chunks, data(space.gradients), nullptr, nullptr, mutable_data(out), nullptr, nullptr});
    });
    return out;
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    if (orders_ != 2) return plain()->terms_along(w, v);
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const at::Tensor weights = packed(w), direction = packed(v);
    const at::Tensor sums = at::empty({layout_.tiles, 2, layout_.rows}, x_.options());
    const Workspace space = workspace(true, true, false);
    for_groups(space, [&](TileRange range) {
      const at::Tensor tables = tables_of(range, space);
      forward(range, weights, {}, space.z, {});
      forward(range, direction, {}, space.along, {});
      launcher_->along(
          {layout_, range, data(tables), data(space.z), data(space.along), nullptr, nullptr, mutable_data(sums)});
    });
    const at::Tensor out = at::empty({2, layout_.samples}, x_.options());
    reduce(sums, out, false);
    return out;
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    check_cotangents(cotangents, 3, *this);
    if (orders_ != 2) return plain()->pull_back_along(w, v, cotangents);
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const at::Tensor weights = packed(w), direction = packed(v), g = cotangents.contiguous();
    const at::Tensor out = at::empty({layout_.width, layout_.dimension}, x_.options());
    const Workspace space = workspace(true, true, true);
    for_groups(space, [&](TileRange range) {
      const at::Tensor tables = tables_of(range, space);
      forward(range, weights, {}, space.z, {});
      forward(range, direction, {}, space.along, {});
      launcher_->along({layout_, range, data(tables), data(space.z), data(space.along), data(g),
                        mutable_data(space.along), nullptr});
      pull(range, tables, space.along, {}, space.gradients);
      launcher_->update(
          {layout_, range, plan_.chunks, data(space.gradients), nullptr, nullptr, mutable_data(out), nullptr, nullptr});
    });
    return out;
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override;

 private:
  friend class FusedStepper;

  bool keeps() const { return options_.mode == KernelMode::keep; }

  at::Tensor new_tables(std::int64_t tiles) const {
    return at::zeros({tiles, orders_, layout_.rows, layout_.table_columns()}, x_.options());
  }
  at::Tensor new_z(std::int64_t tiles) const { return at::empty({tiles, layout_.rows, tile_columns}, x_.options()); }
  at::Tensor new_sums() const { return at::empty({layout_.tiles, orders_, layout_.rows}, x_.options()); }

  std::int64_t group_tiles(std::int64_t bytes_of_a_tile) const {
    return std::clamp<std::int64_t>(options_.workspace / bytes_of_a_tile, 1,
                                    std::min(layout_.tiles, most_tiles_of_a_group));
  }

  /// Where tables are made: of groups of as many neurons as other numbers of processes make them of.
  std::int64_t whole_leaves(std::int64_t bytes_of_a_tile) const {
    return std::min(layout_.tiles, std::max<std::int64_t>(group_tiles(bytes_of_a_tile) / leaf_tiles, 1) * leaf_tiles);
  }

  Workspace workspace(bool z, bool along, bool gradients) const {
    std::int64_t bytes = 4 * layout_.tile_weights();
    if (!keeps()) bytes += 10 * 4 * layout_.rows * layout_.table_columns();  // with ATen's temporaries
    if (z) bytes += 4 * layout_.tile_z();
    if (along) bytes += 4 * layout_.tile_z();
    if (gradients) bytes += 4 * plan_.chunks * layout_.tile_weights();
    Workspace space;
    space.tiles = keeps() ? group_tiles(bytes) : whole_leaves(bytes);
    if (!keeps()) space.tables = new_tables(space.tiles);
    if (z) space.z = new_z(space.tiles);
    if (along) space.along = new_z(space.tiles);
    if (gradients) {
      space.gradients = at::empty({plan_.chunks * space.tiles, tile_columns, layout_.features}, x_.options());
    }
    return space;
  }

  template <class F>
  void for_groups(const Workspace& space, F&& f) const {
    for (std::int64_t first = 0; first < layout_.tiles; first += space.tiles) {
      f(TileRange{first, std::min(space.tiles, layout_.tiles - first)});
    }
  }

  /// tables: [range.count][order][row][table column], zero outside samples.
  void fill_tables(TileRange range, const at::Tensor& tables) const {
    const std::int64_t columns = layout_.table_columns(), first = range.first * columns;
    const std::int64_t count = std::min(layout_.neurons - first, range.count * columns);
    // A leaf's neurons at a time: in another shape a library's product may round otherwise.
    std::vector<at::Tensor> leaves;
    for (std::int64_t at = 0; at < count; at += leaf_tiles * columns) {
      leaves.push_back(x_.mm(w0_.narrow(0, first + at, std::min(leaf_tiles * columns, count - at)).t()));
    }
    const auto z0 = leaves.size() == 1 ? leaves[0] : at::cat(leaves, 1);  // n×count
    const auto scale = scale_.narrow(0, first, count);
    for (int p = 1; p <= orders_; ++p) {
      auto table = activation_.derivative(z0, p) * scale;
      if (count < range.count * columns) table = at::constant_pad_nd(table, {0, range.count * columns - count});
      tables.select(1, p - 1)
          .narrow(1, 0, layout_.samples)
          .copy_(table.view({layout_.samples, range.count, columns}).transpose(0, 1));
    }
  }

  /// Kept, or made now.
  at::Tensor tables_of(TileRange range, const Workspace& space) const {
    if (keeps()) return tables_.narrow(0, range.first, range.count);
    const at::Tensor tables = space.tables.narrow(0, 0, range.count);
    fill_tables(range, tables);
    return tables;
  }

  at::Tensor new_packed() const { return at::empty({layout_.tiles, tile_columns, layout_.features}, x_.options()); }
  void pack(const at::Tensor& w, const at::Tensor& weights) const {
    const at::Tensor from = w.contiguous();
    launcher_->pack({layout_, data(from), mutable_data(weights)});
  }
  at::Tensor packed(const at::Tensor& w) const {
    at::Tensor weights = new_packed();
    pack(w, weights);
    return weights;
  }

  void forward(TileRange range, const at::Tensor& weights, const at::Tensor& tables, const at::Tensor& z,
               const at::Tensor& sums) const {
    launcher_->forward(
        {layout_, range, data(padded_points_), data(weights), data(tables), mutable_data(z), mutable_data(sums)});
  }

  void pull(TileRange range, const at::Tensor& tables, const at::Tensor& z, const at::Tensor& cotangents,
            const at::Tensor& gradients) const {
    launcher_->pull({layout_, plan_, range, data(padded_points_), data(tables), data(z), data(cotangents),
                     mutable_data(gradients)});
  }

  at::Tensor new_terms() const { return at::empty({orders_, layout_.samples}, x_.options()); }
  /// Σ over all processes' tiles, for each row of `out`. Of several processes each makes its nodes of the tree, which
  /// all exchange and finish.
  void reduce(const at::Tensor& sums, const at::Tensor& out, bool factorials = true) const {
    Layout layout = layout_;
    layout.orders = static_cast<int>(out.size(0));
    if (group().size() == 1) {
      launcher_->reduce({layout, {0, layout.tiles}, data(sums), mutable_data(out), factorials, nullptr});
      return;
    }
    const auto own = static_cast<std::int64_t>(tree_.own.size());
    const auto nodes = at::empty({own, layout.orders, layout.samples}, x_.options().dtype(at::kDouble));
    for (std::int64_t i = 0; i < own; ++i) {
      const auto& node = tree_.own[static_cast<std::size_t>(i)];
      const std::int64_t first = node.first * leaf_tiles;
      const TileRange range{first, std::min(node.count * leaf_tiles, layout.tiles - first)};
      launcher_->reduce({layout, range, data(sums), nullptr, false, nodes[i].mutable_data_ptr<double>()});
    }
    const auto all = gathered(nodes, tree_.counts);
    climb(tree_.all, [&](std::size_t to, std::size_t from) {
      all.select(0, static_cast<std::int64_t>(to)).add_(all.select(0, static_cast<std::int64_t>(from)));
    });
    for (std::int64_t p = 1; factorials && p < layout.orders; ++p) {
      for (std::int64_t q = 2; q <= p + 1; ++q) all[0][p].div_(q);
    }
    at::Tensor(out).copy_(all[0]);
  }
  at::Tensor reduced(const at::Tensor& sums) const {
    at::Tensor out = new_terms();
    reduce(sums, out);
    return out;
  }

  /// For what the kernels do not cover.
  std::shared_ptr<const TaylorPrimitive> plain() const {
    return make_aten_primitive(x_, w0_, a_, activation_, orders_);
  }

  std::shared_ptr<const Launcher> launcher_;
  FusedOptions options_;
  Layout layout_;
  Shard shard_;
  SharedTree tree_;  // over leaves
  PullPlan plan_;
  at::Tensor padded_points_, scale_, tables_;
};

class FusedStepper final : public RecordableStepper {
 public:
  FusedStepper(std::shared_ptr<const FusedPrimitive> primitive, const at::Tensor& w)
      : owner_(std::move(primitive)), p_(*owner_), space_(p_.workspace(!p_.keeps(), false, true)) {
    weights_ = p_.new_packed();
    sums_ = p_.new_sums();
    if (p_.keeps()) z_ = p_.new_z(p_.layout_.tiles);
    state_ = at::empty({static_cast<std::int64_t>(sizeof(StepState) / sizeof(float))}, p_.x_.options());
    terms_ = p_.new_terms();
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    p_.pack(w, weights_);
    p_.for_groups(space_, [&](TileRange range) {
      p_.forward(range, weights_, p_.tables_of(range, space_), kept_z(range), sums_);
    });
    p_.reduce(sums_, terms_);
  }

  at::Tensor terms() const override { return terms_; }

  bool set_objective(const SquareObjective& objective) override {
    const std::int64_t n = p_.layout_.samples;
    if (n > most_samples_of_projector) return false;
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    objective_ = objective;
    objective_.targets = objective.targets.contiguous();
    projector_ = objective.basis.defined() ? objective.basis.mm(objective.basis.t()) : at::Tensor();
    square_ = {at::empty_like(terms_), at::empty({3}, terms_.options())};
    squares_ = at::empty({2, n}, terms_.options());
    return true;
  }

  Square evaluate() override {
    const auto weight = static_cast<float>(objective_.weight);
    p_.launcher_->objective({p_.layout_, data(terms_), data(objective_.targets), data(projector_), weight,
                             objective_.linear_term ? 0 : 1, mutable_data(square_.cotangents), mutable_data(squares_)});
    p_.launcher_->value({p_.layout_, data(squares_), weight, mutable_data(square_.values)});
    return square_;
  }

  void prepare(const Update& update) override {
    StepState state;
    state.learning_rate = static_cast<float>(update.learning_rate);
    if (update.noise) {
      state.deviation = static_cast<float>(update.noise->deviation);
      state.noise = stream(update.noise->seed, update.noise->step);
    }
    if (update.signs) {
      state.has_signs = 1;
      state.signs = stream(update.signs->seed(), update.signs->step());
    }
    if (present_ == state) return;
    p_.launcher_->set(state_on_device(), state);
    present_ = state;
  }

  void take(const at::Tensor& w, const at::Tensor& cotangents, const at::Tensor& extra) override {
    check_weights("w", w, p_);
    if (!w.is_contiguous()) throw InputError("w: a step needs its rows one behind the other (contiguous)");
    check_cotangents(cotangents, p_.orders_, p_);
    if (extra.defined()) check_weights("extra", extra, p_);
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const at::Tensor g = cotangents.contiguous();
    const at::Tensor added = extra.defined() ? extra.contiguous() : at::Tensor();
    p_.for_groups(space_, [&](TileRange range) {
      const at::Tensor tables = p_.tables_of(range, space_);
      const at::Tensor z = p_.keeps() ? kept_z(range) : space_.z;
      if (!p_.keeps()) p_.forward(range, weights_, {}, z, {});
      p_.pull(range, tables, z, g, space_.gradients);
      p_.launcher_->update({p_.layout_, range, p_.plan_.chunks, data(space_.gradients), state_on_device(), data(added),
                            nullptr, mutable_data(w), mutable_data(weights_), p_.shard_.row(0), p_.shard_.row(1)});
      p_.forward(range, weights_, tables, kept_z(range), sums_);
    });
    p_.reduce(sums_, terms_);
  }

 private:
  static StepState::Stream stream(std::uint64_t seed, std::uint32_t step) {
    return {step, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  }
  at::Tensor kept_z(TileRange range) const {
    return p_.keeps() ? z_.narrow(0, range.first, range.count) : at::Tensor();
  }
  StepState* state_on_device() const { return reinterpret_cast<StepState*>(state_.mutable_data_ptr<float>()); }

  std::shared_ptr<const FusedPrimitive> owner_;
  const FusedPrimitive& p_;
  Workspace space_;
  at::Tensor weights_, sums_, z_, state_, terms_;
  SquareObjective objective_;
  at::Tensor projector_, squares_;
  Square square_;
  std::optional<StepState> present_;  // what state_ holds
};

std::unique_ptr<Stepper> FusedPrimitive::stepper(const at::Tensor& w) const {
  check_weights("w", w, *this);
  return std::make_unique<FusedStepper>(shared_from_this(), w);
}

}  // namespace

std::shared_ptr<const TaylorPrimitive> make_fused_primitive(std::shared_ptr<const Launcher> launcher,
                                                            const at::Tensor& x, const at::Tensor& w0,
                                                            const at::Tensor& a, const Activation& activation,
                                                            const FusedOptions& options) {
  return std::make_shared<FusedPrimitive>(std::move(launcher), x, w0, a, activation, options);
}

}  // namespace entk::kernels::fused
