"""A renderer written slowly in float64, pixel by pixel, from the formulas: it decides who is right.

It shares no line with the package but the conventions of `Shot`, the prefiltered cube levels and the BRDF
table, which have tests of their own.
"""

from __future__ import annotations

import math

import numpy as np

AXES = {
    (0, 1): ((0, 1, 0), (0, 0, 1)),
    (0, -1): ((0, 1, 0), (0, 0, 1)),
    (1, 1): ((0, 0, 1), (1, 0, 0)),
    (1, -1): ((0, 0, 1), (1, 0, 0)),
    (2, 1): ((1, 0, 0), (0, 1, 0)),
    (2, -1): ((1, 0, 0), (0, 1, 0)),
}


def unit(vector):
    return vector / np.linalg.norm(vector)


def camera(azimuth, elevation, distance):
    """Eye, right, up and backward axes by look-at with +Y up."""
    back = np.array(
        [
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
            math.cos(elevation) * math.cos(azimuth),
        ]
    )
    right = unit(np.cross([0, 1, 0], back))
    return distance * back, right, np.cross(back, right), back


def ray(size, row, column, fov, right, up, back):
    reach = math.tan(math.radians(fov) / 2)
    x, y = (2 * (column + 0.5) / size - 1) * reach, (1 - 2 * (row + 0.5) / size) * reach
    return x * right + y * up - back


def intersect(origin, direction, corners):
    """Moller and Trumbore for all triangles: index, barycentrics of the nearest, or None."""
    p0, p1, p2 = corners[:, 0], corners[:, 1], corners[:, 2]
    e1, e2 = p1 - p0, p2 - p0
    p = np.cross(direction, e2)
    det = (e1 * p).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = origin - p0
        u = (t * p).sum(1) / det
        q = np.cross(t, e1)
        v = (q @ direction) / det
        s = (e2 * q).sum(1) / det
        inside = (np.abs(det) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (s > 1e-6)
    if not inside.any():
        return None
    nearest = int(np.argmin(np.where(inside, s, np.inf)))
    return nearest, np.array([1 - u[nearest] - v[nearest], u[nearest], v[nearest]])


def on_plane(origin, direction, corners):
    """Barycentrics of the point where a ray meets the plane of one triangle, inside or not."""
    e1, e2 = corners[1] - corners[0], corners[2] - corners[0]
    _, u, v = np.linalg.solve(np.stack([-direction, e1, e2], axis=1), origin - corners[0])
    return np.array([1 - u - v, u, v])


def texture(levels, uv, level):
    """Trilinear, repeating."""
    level = min(max(level, 0.0), len(levels) - 1.0)
    low = min(int(level), max(len(levels) - 2, 0))
    high = min(low + 1, len(levels) - 1)
    return (1 - (level - low)) * bilinear(levels[low], uv) + (level - low) * bilinear(levels[high], uv)


def bilinear(image, uv):
    height, width = image.shape[:2]
    x, y = uv[0] * width - 0.5, uv[1] * height - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    value = 0
    for dy, wy in ((0, 1 - (y - y0)), (1, y - y0)):
        for dx, wx in ((0, 1 - (x - x0)), (1, x - x0)):
            value = value + wx * wy * image[(y0 + dy) % height, (x0 + dx) % width]
    return value


def mips(image, most):
    levels = [image]
    while len(levels) <= most and min(levels[-1].shape[:2]) > 1 and min(levels[-1].shape[:2]) % 2 == 0:
        a = levels[-1]
        levels.append((a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2]) / 4)
    return levels


def face_of(direction):
    axis = int(np.argmax(np.abs(direction)))
    sign = -1 if direction[axis] < 0 else 1
    s, t = (np.dot(direction, a) / abs(direction[axis]) for a in AXES[axis, sign])
    return 2 * axis + (sign < 0), s, t


def cube_texel(cube, face, row, column):
    """A texel of a face; one step outside, the texel across the edge; at a corner, the mean of three."""
    side = cube.shape[1]
    inside = [min(max(k, 0), side - 1) for k in (row, column)]
    if row != inside[0] and column != inside[1]:
        around = [(row, inside[1]), (inside[0], column), tuple(inside)]
        return sum(cube_texel(cube, face, *k) for k in around) / 3
    if [row, column] == inside:
        return cube[face, row, column]
    axis, sign = face // 2, -1 if face % 2 else 1
    s_axis, t_axis = (np.array(a, dtype=float) for a in AXES[axis, sign])
    s, t = (min(max((k + 0.5) * 2 / side - 1, -1 - 1e-9), 1 + 1e-9) for k in (column, row))
    other, s, t = face_of(s * s_axis + t * t_axis + np.eye(3)[axis] * sign)
    x, y = (min(int((k + 1) * side / 2), side - 1) for k in (s, t))
    return cube[other, y, x]


def cube_lookup(cube, direction):
    side = cube.shape[1]
    face, s, t = face_of(direction)
    x, y = (s + 1) * side / 2 - 0.5, (t + 1) * side / 2 - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    value = 0
    for dy, wy in ((0, 1 - (y - y0)), (1, y - y0)):
        for dx, wx in ((0, 1 - (x - x0)), (1, x - x0)):
            value = value + wx * wy * cube_texel(cube, face, y0 + dy, x0 + dx)
    return value


def clamped_table(table, cosine, roughness):
    side = table.shape[0]
    x, y = (
        min(max(k * side - 0.5, 0), side - 1) for k in (min(max(cosine, 0), 1), min(max(roughness, 0), 1))
    )
    x0, y0 = min(int(x), side - 2), min(int(y), side - 2)
    s, t = x - x0, y - y0
    top = table[y0, x0] * (1 - s) + table[y0, x0 + 1] * s
    return top * (1 - t) + (table[y0 + 1, x0] * (1 - s) + table[y0 + 1, x0 + 1] * s) * t


def rotate_y(vector, angle):
    x, y, z = vector
    return np.array([math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x])


def shade(texel, normal, tangent, view, light, angle):
    """The split sum at one point; `light` is (diffuse cube, specular cubes, table) in numpy."""
    diffuse, specular, table = light
    albedo, roughness, metallic, bump = texel[:3], texel[3], texel[4], texel[5:]
    bitangent = unit(np.cross(tangent, normal))
    n = unit(tangent * bump[0] - bitangent * bump[1] + normal * bump[2])
    cosine = float(n @ view)
    roughness = max(roughness, 1e-3)
    last = len(specular) - 1
    if roughness < 0.5:
        level = (min(max(roughness, 0.08), 0.5) - 0.08) / 0.42 * (last - 1)
    else:
        level = (min(roughness, 1.0) - 0.5) / 0.5 + (last - 1)
    low = min(int(level), last - 1)
    towards = rotate_y(2 * cosine * n - view, angle)
    radiance = (1 - (level - low)) * cube_lookup(specular[low], towards)
    radiance = radiance + (level - low) * cube_lookup(specular[low + 1], towards)
    scale, bias = clamped_table(table, cosine, roughness)
    f0 = 0.04 * (1 - metallic) + metallic * albedo
    lit = cube_lookup(diffuse, rotate_y(n, angle))
    return (1 - metallic) * albedo * lit + radiance * (f0 * scale + bias)


def render(mesh, maps, light, shot, size):
    """`views size size 3` in float64, and the triangle of each pixel (-1 for none)."""
    v = {
        name: getattr(mesh, name).double().numpy()
        for name in ("v_position", "v_normal", "v_tangent", "v_texcoord")
    }
    triangles = mesh.t_vertex_idx.numpy()
    corners = v["v_position"][triangles]
    levels = mips(maps.stacked().detach().double().numpy(), 9)
    side = max(levels[0].shape[:2])
    cubes = (
        light.diffuse.double().numpy(),
        [k.double().numpy() for k in light.specular],
        light.brdf.double().numpy(),
    )
    image = np.zeros((len(shot), size, size, 3))
    seen = np.full((len(shot), size, size), -1)
    for view in range(len(shot)):
        eye, *axes = camera(float(shot.azimuth[view]), float(shot.elevation[view]), shot.distance)
        for row in range(size):
            for column in range(size):
                direction = ray(size, row, column, shot.fov, *axes)
                hit = intersect(eye, direction, corners)
                if hit is None:
                    image[view, row, column] = shot.background.double().numpy()
                    continue
                index, weights = hit
                seen[view, row, column] = index
                corner = triangles[index]
                uv = weights @ v["v_texcoord"][corner]
                step = 1e-4
                jacobian = [
                    (
                        on_plane(eye, ray(size, row + dr, column + dc, shot.fov, *axes), corners[index])
                        - weights
                    )
                    @ v["v_texcoord"][corner]
                    / step
                    for dr, dc in ((0, step), (step, 0))
                ]
                footprint = np.linalg.svd(np.stack(jacobian), compute_uv=False)[0] * side
                texel = texture(levels, uv, math.log2(max(footprint, 1e-30)))
                image[view, row, column] = shade(
                    texel,
                    unit(weights @ v["v_normal"][corner]),
                    unit(weights @ v["v_tangent"][corner]),
                    -unit(direction),
                    cubes,
                    shot.light_rotation,
                )
    return image, seen
